-- LOOK: how much a shard has to do, and how old it is; for metrics.
-- ARGV: 1 prefix of BullMQ's keys of the shard's queue  2 how many buckets to pass over at most
-- Returns {deliveries pending, retrying, ms since the oldest open one was due to be sent for the first time (-1: there is
--          none, -2: not found yet, call again), ms since the oldest one that may be sent now could have been sent (-1: none),
--          lanes closed, entries of the outbox, slots of live workers, jobs that wait, run, are delayed}.
-- Keeps: it costs the same however much the shard holds, and changes nothing but `fb`, the bucket before which nothing is
-- open: it moves on here, and back when something is accepted or opened before it. A full Redis must not stop this.
local OPEN_BUCKETS = 64 -- with something open that are looked into: what waits for its deliver_at is not yet due
local LANES = 100 -- at the head of the turns

-- When it could first have been sent. One that was attempted is due for its retry: only its event knows of a `deliver_at`.
-- Sent again by hand, it counts from its acceptance.
local function due_since(bytes, status, oldest)
  local created, due = struct.unpack('>I6I6', bytes, 25)
  if status == PENDING then return math.max(created, due) end
  if oldest and created >= oldest then return created end -- so its event need not be read
  local event = struct.unpack('>I6', bytes, 11)
  return math.max(created, event_in(event_of({ event = event })).da or 0)
end

local function oldest_in(bucket)
  local oldest
  local fields = redis.call('HGETALL', p .. 'd:' .. bucket)
  for i = 1, #fields, 2 do
    local bytes = fields[i + 1]
    local status = #bytes == RECORD_BYTES and string.byte(bytes, 1)
    if status and is_open(status) then
      local since = due_since(bytes, status, oldest)
      if since <= now and (not oldest or since < oldest) then oldest = since end
    end
  end
  return oldest
end

local function oldest_open()
  local last = math.floor(tonumber(redis.call('GET', p .. 'n') or 0) / BUCKET)
  local before = tonumber(redis.call('HGET', p .. 'flow', 'fb') or 0)
  local bucket, first, looked, passed = before, nil, 0, 0
  local oldest
  while bucket <= last and not oldest and looked < OPEN_BUCKETS and passed < tonumber(ARGV[2]) do
    if tonumber(redis.call('HGET', p .. 'd:' .. int(bucket), 'o') or 0) > 0 then
      first = first or bucket
      looked = looked + 1
      oldest = oldest_in(int(bucket))
    end
    passed = passed + 1
    bucket = bucket + 1
  end
  first = first or math.min(bucket, last)
  if first > before then redis.pcall('HSET', p .. 'flow', 'fb', int(first)) end
  if oldest then return int(now - oldest) end
  return bucket <= last and looked < OPEN_BUCKETS and -2 or -1
end

local function oldest_ready()
  local oldest
  for _, turns in ipairs({ 'fresh', 'ring' }) do
    for _, name in ipairs(redis.call('LRANGE', p .. turns, 0, LANES / 2 - 1)) do
      local lane = lane_of(name)
      local at = lane.q > 0 and admits_at(lane)
      for _, list in ipairs(at and at <= now and { 'r', 'q' } or {}) do
        local member = redis.call('LINDEX', p .. list .. ':' .. name, 0)
        local d = member and read(member)
        if d and is_open(d.status) and has_flag(d.flags, FLAG_WAITING) then
          local since = math.max(d.created, d.due)
          if not oldest or since < oldest then oldest = since end
        end
      end
    end
  end
  return oldest and int(math.max(0, now - oldest)) or -1
end

local function live_slots()
  local total = 0
  for _, worker in ipairs(redis.call('HVALS', p .. 'hb')) do
    local slots, expires = string.match(worker, '^(%d+):(%d+)$')
    if slots and tonumber(expires) >= now then total = total + slots end
  end
  return int(total)
end

local open = redis.call('HMGET', p .. 'flow', 'pe', 're')
return { int(math.max(0, open[1] or 0)), int(math.max(0, open[2] or 0)), oldest_open(), oldest_ready(),
  redis.call('SCARD', p .. 'closed'), redis.call('LLEN', p .. 'outbox'), live_slots(),
  redis.call('LLEN', ARGV[1] .. 'wait'), redis.call('LLEN', ARGV[1] .. 'active'), redis.call('ZCARD', ARGV[1] .. 'delayed') }
