-- wrk: AdmissionReviews at a given rate, or as fast as they are answered.
--   body file                    a review; "@IMAGE@" in it is replaced by an image, another one in each request
--   images file, or "-"          one image a line; the load ends when all were answered
--   reviews a second, or 0       arrivals of a Poisson process; a connection that is free takes the next one
local ffi = require("ffi")
ffi.cdef[[
typedef struct { long seconds; long nanoseconds; } bench_time;
int clock_gettime(int clock, bench_time *time);
int getpid(void);
int kill(int pid, int signal);
]]
local MONOTONIC, SIGINT = 1, 2
local time = ffi.new("bench_time")

local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function next_of(images, before, after)
  local number = 0
  return function()
    number = number + 1
    -- Connections that fail make wrk ask for more requests than there are images.
    return wrk.format(nil, nil, nil, before .. images[(number - 1) % #images + 1] .. after)
  end
end

-- Returns the milliseconds until a connection sends its next review: when one arrives, or never if none is left.
local function arrivals(rate, left)
  local due = now()
  return function()
    left = left - 1
    if left < 0 then
      return 1e9
    end
    if rate == 0 then
      return 0
    end
    due = due - math.log(1 - math.random()) / rate
    return math.max(0, math.floor((due - now()) * 1000 + 0.5))
  end
end

local expected = math.huge
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = read(args[1])
  if args[2] ~= "-" then
    local images = {}
    for image in read(args[2]):gmatch("%S+") do
      table.insert(images, image)
    end
    local before, after = wrk.body:match("^(.*)@IMAGE@(.*)$")
    request = next_of(images, before, after)
    expected = #images - 1  -- wrk itself takes one request before it begins
  end
  local rate = tonumber(args[3])
  if rate > 0 or expected < math.huge then
    math.randomseed(7)
    delay = arrivals(rate, expected)
  end
end

-- An answer that admits nothing, or an HTTP error, makes a figure worthless: count them.
local refused, answered = 0, 0
function response(status, headers, body)
  answered = answered + 1
  if status ~= 200 or (body:find('"allowed"') and not body:find('"allowed": ?true')) then
    refused = refused + 1
    wrk.thread:set("refused", refused)
    wrk.thread:set("example", body:sub(1, 300))
  end
  if answered == expected then
    ffi.C.kill(ffi.C.getpid(), SIGINT)  -- wrk then ends as after its duration
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
    io.write((thread:get("example") or ""):gsub("%c", " "), "\n")
  end
  local errors = summary.errors
  io.write(string.format(
    '{"answered": %d, "seconds": %.4f, "p50_ms": %.3f, "p99_ms": %.3f, "refused": %d, '
      .. '"errors": {"connect": %d, "read": %d, "write": %d, "timeout": %d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, bad,
    errors.connect, errors.read, errors.write, errors.timeout))
end
