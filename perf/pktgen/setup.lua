-- The bench of docs/benchmarking.md as Pktgen sees it: what to send on which port.
--
-- Port 0 is a host behind gateway A (10.1.0.9), port 1 plays the networks behind gateway B: tunnel n
-- leads to the nth /24 of 20.0.0.0. Each port sends to every tunnel in turn, over a range of UDP
-- ports, so that tunnels and flows are both spread. Loaded by tunnels.lua and rfc2544.lua.

local setup = {
  tunnels = tonumber(os.getenv("TUNNELS") or "1"),       -- 1 to 32000
  flows = tonumber(os.getenv("FLOWS") or "16"),          -- UDP source ports in each tunnel
  gateway_a = os.getenv("GATEWAY_A") or "02:00:00:00:0a:01", -- MAC of A's port towards the generator
  gateway_b = os.getenv("GATEWAY_B") or "02:00:00:00:0b:01", -- MAC of B's port towards the generator
  host = "10.1.0.9",
}

-- An IPv4 address from a number.
local function address(number)
  return string.format("%d.%d.%d.%d", number >> 24 & 255, number >> 16 & 255, number >> 8 & 255, number & 255)
end

-- The host of the first and of the last tunnel.
local first = (20 << 24) + 9
function setup.first_remote() return address(first) end
function setup.last_remote() return address(first + ((setup.tunnels - 1) << 8)) end

-- Frame size for an inner IP packet of so many octets: Ethernet header and frame check sequence.
function setup.frame(octets) return octets + 18 end

local function range(call, port, start, last, step)
  call(port, "start", start)
  call(port, "min", start)
  call(port, "max", last)
  call(port, "inc", step)
end

local function fixed(call, port, value, none) range(call, port, value, value, none) end

-- Ranges of one port: it sends to `mac`; addresses that vary go to `varying`, the others to `still`.
local function side(port, mac, varying, still)
  fixed(pktgen.range.dst_mac, port, mac, "00:00:00:00:00:00")
  range(varying, port, setup.first_remote(), setup.last_remote(), "0.0.1.0")
  fixed(still, port, setup.host, "0.0.0.0")
  range(pktgen.range.src_port, port, 1024, 1023 + setup.flows, 1)
  fixed(pktgen.range.dst_port, port, 5001, 0)
  fixed(pktgen.range.ttl, port, 64, 0)
  pktgen.range.ip_proto(port, "udp")
end

-- Lays everything out but the size and the rate.
function setup.lay_out()
  assert(setup.tunnels >= 1 and setup.tunnels <= 32000, "TUNNELS: 1 to 32000")
  assert(setup.flows >= 1 and setup.flows <= 60000, "FLOWS: 1 to 60000")
  pktgen.screen("off")
  pktgen.stop("all")
  pktgen.set("all", "count", 0)
  side("0", setup.gateway_a, pktgen.range.dst_ip, pktgen.range.src_ip)
  side("1", setup.gateway_b, pktgen.range.src_ip, pktgen.range.dst_ip)
end

-- Octets of the inner IP packets from now on.
function setup.size(octets)
  local frame = setup.frame(octets)
  fixed(pktgen.range.pkt_size, "all", frame, 0)
  pktgen.set("all", "size", frame)
  pktgen.set_range("all", "on")
end

return setup
