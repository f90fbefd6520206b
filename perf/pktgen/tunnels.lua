-- Pktgen -f tunnels.lua: sends to all tunnels and flows until it is stopped, at RATE percent of the line.
--
--   TUNNELS=1000 FLOWS=16 SIZE=1420 RATE=10 pktgen -l 0-2 -- -m "[1].0,[2].1" -f perf/pktgen/tunnels.lua
package.path = (os.getenv("PKTGEN_SCRIPTS") or "perf/pktgen") .. "/?.lua;" .. package.path
require("Pktgen")
local setup = require("setup")

setup.lay_out()
setup.size(tonumber(os.getenv("SIZE") or "64"))
pktgen.set("all", "rate", tonumber(os.getenv("RATE") or "10"))
pktgen.screen("on")
pktgen.start("all")
