-- CANCEL-OWNER: cancels the open deliveries of a deleted endpoint or app, a stretch at a time.
-- ARGV: 1 how many to look at  2 reason for an endpoint  3 reason for an app
--       4 retention of records, ms  5 retention of bodies, ms
-- Returns {reason, ids of the jobs of what was cancelled: they are of no use now}, or false when nothing is left to do.
-- Keeps: nothing new is accepted for a deleted owner (its config is gone), so a walk from the newest entry on,
-- whose position is kept in `doomed`, reaches all, whichever worker goes on with it.
local owner = redis.call('HRANDFIELD', p .. 'doomed')
if not owner then return false end
local mark = redis.call('HGET', p .. 'doomed', owner)
local kind, at = string.match(mark, '^(%a+):(%d+)$')
local numbers = redis.call('LRANGE', p .. 'x:' .. owner, at, at + ARGV[1] - 1)
local reason = kind == 'app' and ARGV[3] or ARGV[2]
local jobs = {}
for _, member in ipairs(numbers) do
  local d = read(member)
  if d and is_open(d.status) then
    redis.call('ZREM', p .. 'watch', member)
    local lane = lane_of(lane_name(d))
    leave(d, lane)
    ready(lane)
    set_status(d, CANCELLED, correlation_of(d), tonumber(ARGV[4]), tonumber(ARGV[5]))
    d.reason, d.due = tonumber(reason), now
    write(d)
    jobs[#jobs + 1] = job_id(d.number, d.generation)
  end
end
if #numbers < tonumber(ARGV[1]) then
  redis.call('HDEL', p .. 'doomed', owner)
else
  redis.call('HSET', p .. 'doomed', owner, kind .. ':' .. int(at + #numbers))
end
save_all()
return { reason, unpack(jobs) }
