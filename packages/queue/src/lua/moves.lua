-- How deliveries move in and out of their lanes; shared, after lane.lua, which has the drawing. Every move is `leave` and
-- one of `put_…`, so that the counts of the lane and of the shard move with it.

-- How many a script that frees a place admits at most; one, as a rule, and more when slots have come.
local MOST_ADMITTED = 8

-- Takes a delivery from its place in its lane; the caller puts it elsewhere, or it has ended.
local function leave(d, lane)
  if has_flag(d.flags, FLAG_WAITING) then
    if lane.sc > 0 and redis.call('ZREM', p .. 's:' .. lane.name, d.member) == 1 then
      lane.sc = lane.sc - 1
    else
      lane.q = lane.q - 1
    end
  elseif has_flag(d.flags, FLAG_ADMITTED) then
    lane.n = lane.n - 1
    if lane.u then lane.u = lane.u > 1 and lane.u - 1 or nil end
    add_total(-1)
  elseif has_flag(d.flags, FLAG_HOLDS) then
    lane.n = lane.n - 1
  end
  if has_flag(d.flags, FLAG_STUCK) then lane.sk = lane.sk - 1 end
  if lane.pr == d.number then lane.pr = nil end
  d.flags = (has_flag(d.flags, FLAG_WAIT) and FLAG_WAIT or 0) + (has_flag(d.flags, FLAG_CORRELATED) and FLAG_CORRELATED or 0)
end

local function put_admitted(d, lane)
  d.flags = d.flags + FLAG_ADMITTED
  lane.n = lane.n + 1
  if lane.rl and not lane.rs then lane.u = (lane.u or 0) + 1 end
  add_total(1)
  redis.call('ZADD', p .. 'watch', int(now + ADMITTED_WITHIN), d.member)
end

-- It has its lane's place, and none among what waits to be claimed.
local function put_holding(d, lane)
  d.flags = d.flags + FLAG_HOLDS
  lane.n = lane.n + 1
end

-- `list`: q new, r returned, y replayed.
local function put_waiting(d, lane, list)
  d.flags = d.flags + FLAG_WAITING
  lane.q = lane.q + 1
  redis.call('RPUSH', p .. list .. ':' .. lane.name, d.member)
end

local function put_scheduled(d, lane)
  d.flags = d.flags + FLAG_WAITING
  lane.sc = lane.sc + 1
  redis.call('ZADD', p .. 's:' .. lane.name, int(d.due), d.member)
  lane.sd = math.min(lane.sd or d.due, d.due)
end

-- Back into its lane, to be admitted again with a job of its own; the one it has becomes stale.
local function put_back(d, lane, list)
  leave(d, lane)
  redis.call('ZREM', p .. 'watch', d.member)
  next_generation(d)
  put_waiting(d, lane, list)
  write(d)
  ready(lane)
end

-- A delivery without a place gets one: admitted when nothing waits before it, else it waits. True: admitted.
local function enter(d, lane, list)
  local at = lane.q <= 0 and room() > 0 and admits_at(lane)
  if at and at <= now then
    if lane.cl then lane.pr = d.number end
    if lane.rl then take_pace(lane) end
    put_admitted(d, lane)
    return true
  end
  put_waiting(d, lane, list)
  ready(lane, 'fresh')
  return false
end

-- What one call may pop that is of no use.
local OLD_ENTRIES = 1000
local old_entries = 0

-- The lane's next delivery: returned ones first, but of four admissions one at least is new; of ten one is replayed.
local function take_next(lane)
  local order = { 'r', 'q', 'y' }
  if (lane.rc or 0) >= 3 and not lane['or'] then order = { 'q', 'r', 'y' } end
  if (lane.ac or 0) >= 9 then order = { 'y', order[1], order[2] } end
  for _, list in ipairs(order) do
    repeat
      local member = redis.call('LPOP', p .. list .. ':' .. lane.name)
      local d = member and read(member)
      -- Without the flag it is an old entry: the delivery has gone another way since.
      if d and has_flag(d.flags, FLAG_WAITING) and is_open(d.status) then
        lane.rc = list == 'r' and d.attempts > 0 and (lane.rc or 0) + 1 or nil
        lane.ac = list ~= 'y' and math.min(9, (lane.ac or 0) + 1) or nil
        return d
      end
      if member then old_entries = old_entries + 1 end
      if old_entries >= OLD_ENTRIES then return nil end
    until not member
  end
  lane.q = 0 -- all lists are empty
  return nil
end

-- One turn of the ring after the other, an admission each, while the shard has room. Returns the admitted, and whether it
-- stopped before it was through.
-- A lane that has only just got something to send comes first (the sparse flows of RFC 8290 §4.2), until more than a first
-- window waits in it or it has to wait; but one turn in four is the ring's whatever comes.
local function admit(most)
  local out, looked = {}, 0
  while #out < most and looked < most + MOST_IN_VAIN and old_entries < OLD_ENTRIES and room() > 0 do
    local first, second = 'fresh', 'ring'
    if (clock[2] + #out) % 4 == 0 then first, second = second, first end
    local name, list = redis.call('LPOP', p .. first), first
    if not name then name, list = redis.call('LPOP', p .. second), second end
    if not name then break end
    looked = looked + 1
    local lane = lane_of(name)
    if lane.rg then lane.rg = nil end
    local has_backlog = list == 'fresh' and lane.q > FIRST_WINDOW -- it takes its turns in the ring
    local at = not has_backlog and lane.q > 0 and admits_at(lane)
    local d = at and at <= now and take_next(lane)
    if d then
      leave(d, lane)
      if lane.cl then lane.pr = d.number end
      if lane.rl then take_pace(lane) end
      put_admitted(d, lane)
      write(d)
      out[#out + 1] = d
    end
    ready(lane, has_backlog and 'ring' or list)
  end
  return out, looked >= most + MOST_IN_VAIN or old_entries >= OLD_ENTRIES
end

-- What whoever called needs to make jobs: number, generation, event number, event record, endpoint number, …
local function tickets(admitted)
  local out = {}
  for _, d in ipairs(admitted) do
    local n = #out
    out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5] =
      d.member, d.generation, int(d.event), event_of(d) or '', owner_of(d)
  end
  return out
end

-- Why an ended delivery cannot be sent again; nil: it can.
local function cannot_reopen(d)
  -- A claim: of a cancelled one, or from Bull Board. Else `watch` has an ended one for what is left of its job.
  if (d.status == CANCELLED or has_flag(d.flags, FLAG_HOLDS))
    and tonumber(redis.call('ZSCORE', p .. 'watch', d.member) or 0) > now then return 'running' end
  local config = p .. 'cfg:' .. int(d.app)
  if redis.call('HEXISTS', config, 'app') == 0
    or (d.endpoint > 0 and redis.call('HEXISTS', config, id('ep', d.endpoint)) == 0) then
    return 'deleted'
  end
  local bucket, field = place(d.event)
  if redis.call('HEXISTS', p .. 'b:' .. bucket, field) == 0 then return 'expired' end
  if d.attempts >= 65000 then return 'exhausted' end
  return nil
end

-- Makes an ended delivery open again, with a new retry budget; the caller gives it a place and writes it.
local function reopen_delivery(d)
  set_status(d, d.attempts == 0 and PENDING or RETRYING, correlation_of(d), 0, 0)
  next_generation(d)
  redis.call('ZREM', p .. 'watch', d.member) -- of an attempt whose time is over
  d.retry_base, d.due, d.reason = d.attempts, now, 0
  -- Its endpoint is not idle (WATCH-IDLE), though the newest delivery may be old.
  local notes, endpoint = p .. 'idle:' .. int(d.app), owner_of(d)
  if redis.call('HEXISTS', notes, endpoint) == 1 then redis.call('HSET', notes, endpoint, int(now)) end
end
