-- Rate limits (GCRA): of all these buckets or of none. The state of one is a number: the microsecond at which it will be full again.
-- KEYS the buckets; ARGV of each in turn: microseconds between two calls, the burst, what this call costs.
-- Answers {the place of the one that refuses, or 0; microseconds to wait; calls left in each}. The time is the server's: nodes need not agree on theirs.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, afters = {0, 0}, {}
for place, key in ipairs(KEYS) do
  local interval, burst, cost = tonumber(ARGV[3 * place - 2]), tonumber(ARGV[3 * place - 1]), tonumber(ARGV[3 * place])
  local whole = interval * burst
  local full_at = tonumber(redis.call('GET', key) or now) or now
  -- A bucket is never emptier than empty, even if the server's clock went back.
  full_at = math.min(math.max(full_at, now), now + whole)
  local after = full_at + interval * cost
  if after > now + whole then
    return {place, after - now - whole}
  end
  afters[place] = after
  answer[place + 2] = math.floor((now + whole - after) / interval)
end
for place, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', afters[place]), 'PX', math.ceil((afters[place] - now) / 1000))
end
return answer
