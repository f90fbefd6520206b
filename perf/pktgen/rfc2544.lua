-- Pktgen -f rfc2544.lua: throughput after RFC 2544 section 26.1, both directions at once.
--
-- For each size of inner IP packets: NDR, the highest rate at which not one packet is lost, and PDR, that at
-- which no more than 0.5 % are. Each is confirmed by a longer trial; one that is not confirmed is sought
-- again below. Lines of CSV go to OUTPUT.
--
--   TUNNELS, FLOWS, GATEWAY_A, GATEWAY_B   see setup.lua
--   SIZES=64,128,256,1420  TRIAL=10  CONFIRM=60  OUTPUT=rfc2544.csv   octets; seconds; seconds
--   MAXIMUM=100  RESOLUTION=0.1   percent of the line: where to begin, how close to come
package.path = (os.getenv("PKTGEN_SCRIPTS") or "perf/pktgen") .. "/?.lua;" .. package.path
require("Pktgen")
local setup, search = require("setup"), require("search")

local seconds = tonumber(os.getenv("TRIAL") or "10")
local confirm = tonumber(os.getenv("CONFIRM") or "60")
local resolution = tonumber(os.getenv("RESOLUTION") or "0.1")
local maximum = tonumber(os.getenv("MAXIMUM") or "100")
local settle = 1500 -- milliseconds: Pktgen brings its counters up to date once a second
local drain = 2000 -- milliseconds for what is on its way (RFC 2544 section 23)

-- Packets sent and received on both ports so far.
local function totals()
  local sent, received = 0, 0
  local stats = pktgen.portStats("0,1", "port")
  for port = 0, 1 do
    sent, received = sent + stats[port].opackets, received + stats[port].ipackets
  end
  return sent, received
end

-- One trial: packets sent and received, both directions.
local function trial(rate, length)
  pktgen.set("all", "rate", rate)
  pktgen.delay(settle)
  local sent, received = totals()
  pktgen.start("0,1")
  pktgen.delay(length * 1000)
  pktgen.stop("0,1")
  pktgen.delay(drain + settle)
  local sent_after, received_after = totals()
  sent, received = sent_after - sent, received_after - received
  print(string.format("  %6.2f %% of the line: %d sent, %d received, %d lost", rate, sent, received, sent - received))
  if received > sent then
    print("  more came than was sent: other traffic on the ports, or a driver that does not count all it sends")
  end
  return sent, received
end

-- The highest rate that passes, and passes again for longer.
local function confirmed(tolerance)
  local highest = maximum
  while highest > resolution do
    local best = search.highest {
      trial = function(rate) return trial(rate, seconds) end,
      tolerance = tolerance, highest = highest, resolution = resolution,
    }
    if best.rate == 0 or confirm == 0 then return best, seconds end
    local sent, received = trial(best.rate, confirm)
    if sent - received <= sent * tolerance then
      return { rate = best.rate, sent = sent, received = received }, confirm
    end
    highest = best.rate - resolution
  end
  return { rate = 0, sent = 0, received = 0 }, seconds
end

local function main()
  local output = assert(io.open(os.getenv("OUTPUT") or "rfc2544.csv", "w"))
  output:write("kind,tunnels,flows,inner_octets,percent_of_line,packets_per_second,inner_gbit_per_second,sent,received\n")
  setup.lay_out()
  for size in (os.getenv("SIZES") or "64,128,256,1420"):gmatch("%d+") do
    local octets = tonumber(size)
    setup.size(octets)
    for _, kind in ipairs { { "NDR", 0 }, { "PDR", 0.005 } } do
      print(string.format("%s, %d octets, %d tunnels", kind[1], octets, setup.tunnels))
      local best, length = confirmed(kind[2])
      local rate = best.received / length
      output:write(string.format("%s,%d,%d,%d,%.2f,%.0f,%.3f,%d,%d\n", kind[1], setup.tunnels, setup.flows, octets,
        best.rate, rate, rate * octets * 8 / 1e9, best.sent, best.received))
      output:flush()
    end
  end
  output:close()
end

main()
pktgen.quit()
