-- wrk: the same AdmissionReview again and again; the body's file is the first argument.
function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
end

-- An answer that admits nothing, or an HTTP error, makes the figure worthless: count them.
local refused = 0
function response(status, headers, body)
  if status ~= 200 or (body:find('"allowed"') and not body:find('"allowed": ?true')) then
    refused = refused + 1
    wrk.thread:set("refused", refused)
  end
end

local threads = {}
function setup(thread)
  table.insert(threads, thread)
end

function done(summary, latency, requests)
  local bad = 0
  for _, thread in ipairs(threads) do
    bad = bad + (thread:get("refused") or 0)
  end
  io.write(string.format(
    '{"rate": %.1f, "p50_ms": %.2f, "p99_ms": %.2f, "refused": %d, "errors": %d}\n',
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    bad, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
