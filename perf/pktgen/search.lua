-- Binary search for the highest rate whose loss is tolerable (RFC 2544 section 26.1). Knows no generator.

local search = {}

-- search.highest { trial =, tolerance =, highest =, resolution = }
--
-- `trial(rate)` sends at `rate` percent of the line and returns packets sent and packets received.
-- `tolerance` is the share of packets that may be lost: 0 for NDR (no drop), 0.005 for PDR 0.5 %.
-- Returns the highest rate that passed, in percent, with its packets sent and received; 0 if none did.
-- The result is a rate that was really tried and passed, never one in between.
function search.highest(options)
  local low, high = 0, options.highest or 100
  local resolution = options.resolution or 0.1
  local best = { rate = 0, sent = 0, received = 0 }
  local rate = high
  while high - low > resolution or rate == high do
    local sent, received = options.trial(rate)
    assert(sent > 0, "nothing was sent")
    if sent - received <= sent * options.tolerance then
      best = { rate = rate, sent = sent, received = received }
      low = rate
      if rate == high then break end
    else
      high = rate
    end
    rate = (low + high) / 2
    if high - low <= resolution then break end
  end
  return best
end

return search
