-- LET-GO: lanes that were held, since their app has come from another shard, send from now on.
-- ARGV: 1 app (owner number)  2 … for each: endpoint (owner number), what its lane has learned in that shard as JSON {field:
--       value}, and the log of its rate limit there as JSON {member, ms, …}
-- Returns how many were held.
-- Keeps: a lane is let go once, and takes what it is told only then: whoever comes later, with what is older, changes nothing.
local app, let_go = ARGV[1], 0
for i = 2, #ARGV, 3 do
  local lane = lane_of(ARGV[i])
  if lane.mv then
    let_go = let_go + 1
    lane.mv = nil
    for field, value in pairs(cjson.decode(ARGV[i + 1])) do lane[field] = value end
    local log = cjson.decode(ARGV[i + 2])
    if lane.rl and #log > 0 then
      for from = 1, #log, 4000 do
        local entries = {}
        for j = from, math.min(from + 3999, #log), 2 do
          entries[#entries + 1], entries[#entries + 2] = log[j + 1], log[j]
        end
        redis.call('ZADD', p .. 'tok:' .. lane.name, unpack(entries))
      end
      redis.call('PEXPIRE', p .. 'tok:' .. lane.name, int(lane.rp * 2))
    end
    ready(lane)
  end
  redis.call('SREM', p .. 'held:' .. app, ARGV[i])
end
save_all()
if redis.call('SCARD', p .. 'held:' .. app) == 0 then redis.call('HDEL', p .. 'came', app) end
return let_go
