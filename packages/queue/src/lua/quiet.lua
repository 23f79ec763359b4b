-- QUIET: tells a lane its present or next quiet period, which needs a calendar with time zones.
-- ARGV: 1 lane  2 quiet hours for which this is the period  3 its begin, ms  4 its end, ms
-- Keeps: nothing changes when the lane has other quiet hours by now.
local lane = lane_of(ARGV[1])
if lane.qh ~= ARGV[2] then return 0 end
lane.qf, lane.qu = tonumber(ARGV[3]), tonumber(ARGV[4])
ready(lane)
save_all()
return 1
