-- DETACH: an attempt that lasts gives up its slot and keeps its place in its lane.
-- ARGV: 1 delivery number  2 generation  3 'detach', 'stuck' (and it lasts longer than its lane's usually do: the lane
--       keeps to two until it has ended) or 'release' (its worker has to go: whoever gets the job may attempt it again)
--       4 ms by which the attempt must have ended  5 number of the attempt
-- Returns 1 if the attempt's job may wait until it must have ended, 0 if it has been settled.
-- Keeps: while it is detached no other worker attempts the delivery before its time. May be sent again.
local member, generation, how = ARGV[1], tonumber(ARGV[2]), ARGV[3]
redis.call('ZREM', p .. 'watch', '')
local d = read(member)
if d and d.attempts >= tonumber(ARGV[5]) then return 0 end
-- Cancelled, or carried by another job: this one is of no use any more.
if not d or d.generation ~= generation or not (is_open(d.status) or d.status == DEAD) then return 1 end
local lane = lane_of(lane_name(d))
if how == 'release' then
  if has_flag(d.flags, FLAG_DETACHED) then redis.call('ZADD', p .. 'watch', int(now), member) end
  return 1
end
if not has_flag(d.flags, FLAG_HOLDS) then return 0 end
if not has_flag(d.flags, FLAG_DETACHED) then
  d.flags = d.flags + FLAG_DETACHED
  redis.call('ZADD', p .. 'watch', int(now + ARGV[4]), member)
end
if how == 'stuck' and not has_flag(d.flags, FLAG_STUCK) then
  d.flags = d.flags + FLAG_STUCK
  lane.sk = lane.sk + 1
end
write(d)
save_all()
return 1
