-- lua5.4 search_test.lua: the search against devices that are known.
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local search = require("search")

-- A device that forwards up to `capacity` percent of the line, and loses the rest.
local function device(capacity, trials)
  return function(rate)
    trials.count = trials.count + 1
    local sent = math.floor(rate * 100000)
    return sent, math.min(sent, math.floor(capacity * 100000))
  end
end

local function found(capacity, tolerance)
  local trials = { count = 0 }
  local best = search.highest { trial = device(capacity, trials), tolerance = tolerance }
  assert(trials.count <= 11, "no more than a binary search needs: " .. trials.count)
  return best
end

for _, capacity in ipairs { 0.3, 7, 33.3, 50, 99.95 } do
  local ndr, pdr = found(capacity, 0), found(capacity, 0.005)
  assert(ndr.sent == ndr.received, "an NDR loses nothing")
  assert(ndr.rate <= capacity and capacity - ndr.rate <= 0.1, "NDR of " .. capacity .. ": " .. ndr.rate)
  assert(pdr.rate >= ndr.rate, "a PDR is no less than the NDR")
  assert(pdr.sent - pdr.received <= pdr.sent * 0.005, "a PDR loses one in two hundred at most")
end
assert(found(200, 0).rate == 100, "a device as fast as the line")
assert(search.highest { trial = function() return 10, 0 end, tolerance = 0.005 }.rate == 0, "a device that is broken")
print("search: ok")
