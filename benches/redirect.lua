-- wrk's side of benches/run.sh: asks for the paths of a file, one after the other, with the headers of a browser.
--   wrk ... -s benches/redirect.lua http://ADDRESS -- SLUGS
local requests = {}
local threads = 0

function setup(thread)
  -- Each thread begins elsewhere, so that they do not ask for the same link at once.
  thread:set("first", threads * 4999)
  threads = threads + 1
end

function init(arguments)
  for path in io.lines(arguments[1]) do
    local agent = #requests % 200
    requests[#requests + 1] = wrk.format("GET", path, {
      ["Host"] = wrk.headers["Host"],
      ["User-Agent"] = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_" .. agent .. " like Mac OS X) AppleWebKit/605.1.15 "
        .. "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
      ["Accept"] = "text/html,application/xhtml+xml,*/*;q=0.8",
      ["Accept-Language"] = "en-GB,en;q=0.9",
      ["Referer"] = "https://news.example.com/today",
    })
  end
  at = first
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("requests=%d seconds=%.3f errors=%d rps=%.0f p99_us=%d",
    summary.requests, summary.duration / 1e6, failed, summary.requests / (summary.duration / 1e6),
    latency:percentile(99)))
end
