-- One rate limit (GCRA). The state is one number: the microsecond at which the bucket will be full again.
-- KEYS[1] the bucket; ARGV[1] microseconds between two calls, ARGV[2] the burst, ARGV[3] what this call costs.
-- Answers {allowed, microseconds to wait, calls left}. The time is the server's: nodes need not agree on theirs.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local whole = interval * burst
local full_at = tonumber(redis.call('GET', KEYS[1]) or now) or now
-- A bucket is never emptier than empty, even if the server's clock went back.
full_at = math.min(math.max(full_at, now), now + whole)
local after = full_at + interval * cost
if after > now + whole then
  return {0, after - now - whole, math.floor((now + whole - full_at) / interval)}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, 0, math.floor((now + whole - after) / interval)}
