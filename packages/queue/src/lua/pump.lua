-- PUMP: a worker tells that it lives, wakes the lanes whose time has come, and admits what has room.
-- ARGV: 1 worker  2 its slots in this shard, 0 when it leaves  3 ms after which it counts as dead  4 ms that a delivery
--       may be held by a closed, paused or disabled lane  5 how many lanes to wake  6 how many to admit
--       7 reason of an expired delivery  8 retention of records, ms  9 retention of bodies, ms  10 the worker's clock, ms
-- Returns {ms until a lane is to be woken, 1 if there is more to do now, {lane, quiet hours, …} whose next quiet period is
--          to be told by QUIET, {tickets …}, now in ms, how many deliveries expired}.
-- Keeps: what it does for a lane depends on the lane's state alone, so any number of workers may do it at once.
local most = tonumber(ARGV[5])
local unknown_quiet, more = {}, 0
local expired = 0
local budget = 1000 -- deliveries that one call moves or ends by their time: it must not block Redis for long

-- For CLAIM, while it is so and as long as its sign of life counts: by how much the most advanced clock of all is ahead.
local function tell_ahead()
  local ahead = tonumber(ARGV[10]) - now
  if ahead <= AHEAD then return end
  local most = tonumber(redis.call('GET', p .. 'ahead') or 0)
  redis.call('SET', p .. 'ahead', int(math.max(ahead, most)), 'PX', ARGV[3])
end

local function count_slots()
  local total = 0
  if tonumber(ARGV[2]) > 0 then
    redis.call('HSET', p .. 'hb', ARGV[1], ARGV[2] .. ':' .. int(now + ARGV[3]))
  else
    redis.call('HDEL', p .. 'hb', ARGV[1])
  end
  local workers = redis.call('HGETALL', p .. 'hb')
  for i = 1, #workers, 2 do
    local slots, expires = string.match(workers[i + 1], '^(%d+):(%d+)$')
    if not slots or tonumber(expires) < now then
      redis.call('HDEL', p .. 'hb', workers[i])
    else
      total = total + slots
    end
  end
  local known = shard_flow()
  tell_ahead()
  if known.slots ~= total or held_age() ~= tonumber(ARGV[4]) then
    redis.call('HSET', p .. 'flow', 'slots', int(total), 'age', ARGV[4])
    known.slots = total
  end
end

-- deliver_at has come: in order of their times.
local function release_scheduled(lane)
  local key = p .. 's:' .. lane.name
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', int(now), 'LIMIT', 0, math.max(0, budget))) do
    budget = budget - 1
    local d = read(member)
    if d and has_flag(d.flags, FLAG_WAITING) then
      lane.sc, lane.q = lane.sc - 1, lane.q + 1
      redis.call('RPUSH', p .. 'q:' .. lane.name, member)
    end
    redis.call('ZREM', key, member)
  end
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  lane.sd = tonumber(first[2])
  if not lane.sd then lane.sc = 0 end
end

-- Ends what a held lane has held for too long, oldest first. Returns the app, if any was ended.
local function expire_held(lane)
  local age, since, count, app = held_age(), held_since(lane), 0, nil
  local pause = math.max(1000, math.min(60000, age / 100)) -- until the next ones are looked for: in batches, not one by one
  lane.xa = nil
  for _, list in ipairs({ 'q', 'r', 'y' }) do
    local key = p .. list .. ':' .. lane.name
    while true do
      local member = redis.call('LINDEX', key, 0)
      if not member then break end
      if budget <= 0 then
        lane.xa = now
        break
      end
      budget = budget - 1
      local d = read(member)
      if d and has_flag(d.flags, FLAG_WAITING) and is_open(d.status) then
        local expires = math.max(since, d.due) + age
        if expires > now then
          expires = math.max(expires, now + pause)
          lane.xa = math.min(lane.xa or expires, expires)
          break
        end
        leave(d, lane)
        set_status(d, DEAD, correlation_of(d), tonumber(ARGV[8]), tonumber(ARGV[9]))
        d.reason, d.due = tonumber(ARGV[7]), now
        if d.attempts == 0 then tell_waiter(d) end
        write(d)
        count, app = count + 1, d.app
      end
      redis.call('LPOP', key)
    end
  end
  if not lane.xa then lane.q = 0 end -- all lists are empty
  expired = expired + count
  if count > 0 then tell_operators('deliveries.expired', app, endpoint_of(lane), { count = count }) end
end

local function wake(name)
  local lane = lane_of(name)
  lane.z = nil
  if lane.sc > 0 and (lane.sd or 0) <= now then release_scheduled(lane) end
  if lane.q > 0 and is_held(lane) and (lane.xa or 0) <= now then expire_held(lane) end
  if is_idle(lane) and is_origin(lane) and not lane.nb then
    lane.fs, lane.fd, lane.cl, lane.po, lane.pa, lane.rv = nil
  end
  if lane.qh and quiet_unknown(lane) then
    unknown_quiet[#unknown_quiet + 1], unknown_quiet[#unknown_quiet + 2] = name, lane.qh
  end
  ready(lane)
  if lane.qh and quiet_unknown(lane) then -- asked for now; should the answer be lost, ask again
    lane.z = now + 1000
    redis.call('ZADD', p .. 'wake', int(lane.z), name)
  end
end

count_slots()
local due = redis.call('ZRANGEBYSCORE', p .. 'wake', '-inf', int(now), 'LIMIT', 0, most)
if #due > 0 then redis.call('ZREM', p .. 'wake', unpack(due)) end
for _, name in ipairs(due) do wake(name) end
if #due == most then more = 1 end
local admitted, stopped = admit(tonumber(ARGV[6]))
if stopped or #admitted == tonumber(ARGV[6]) then more = 1 end
save_all()
local first = redis.call('ZRANGE', p .. 'wake', 0, 0, 'WITHSCORES')
return { first[2] and int(math.max(0, first[2] - now)) or -1, more, unknown_quiet, tickets(admitted), int(now),
  expired }
