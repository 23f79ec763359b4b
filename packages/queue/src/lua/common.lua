-- Shared by all scripts; prepended to each. KEYS[1] is always the shard's prefix, `{sp:N}:`; every other key is made
-- from it, and so lies in the same Redis Cluster slot. KEYS[2] is for that Cluster alone (scripts.ts).
local p = KEYS[1]
local BUCKET = 128
local RECORD_BYTES = 63
local LAYOUT = '>BBI2I2I2I2I6I4I4I6I6I2BI4c20'
local PENDING, RETRYING, DELIVERED, DEAD, SKIPPED, CANCELLED = 0, 1, 2, 3, 4, 5
local FLAG_WAIT, FLAG_WAITING, FLAG_CORRELATED = 1, 2, 4
local FLAG_ADMITTED, FLAG_HOLDS, FLAG_DETACHED, FLAG_STUCK = 8, 16, 32, 64

-- A clock that is ahead by more than this, ms, is wrong.
local AHEAD = 1000

local function int(n) return string.format('%.0f', n) end

local function place(number)
  local field = number % BUCKET
  return int((number - field) / BUCKET), int(field)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The record as a table, or nil; see delivery-record.ts for the fields.
local function read(number)
  local bucket, field = place(number)
  local bytes = redis.call('HGET', p .. 'd:' .. bucket, field)
  -- What has another length was not written by us: one bad record must not stop a script for all others.
  if not bytes or #bytes ~= RECORD_BYTES then return nil end
  local d = { number = number, bucket = bucket, field = field, bytes = bytes }
  d.status, d.flags, d.generation, d.attempts, d.job_base, d.retry_base, d.event, d.app, d.endpoint, d.created,
    d.due, d.code, d.reason, d.key, d.seal = struct.unpack(LAYOUT, bytes)
  return d
end

local function write(d)
  d.bytes = struct.pack(LAYOUT, d.status, d.flags, d.generation, d.attempts, d.job_base, d.retry_base, d.event, d.app,
    d.endpoint, d.created, d.due, d.code, d.reason, d.key, d.seal)
  redis.call('HSET', p .. 'd:' .. d.bucket, d.field, d.bytes)
end

local function is_open(status) return status == PENDING or status == RETRYING end

-- flags are few and small: no bit library is needed, which Redis 6.2 and Valkey name differently.
local function has_flag(flags, flag) return flags % (flag * 2) >= flag end
local function without_flag(flags, flag) return has_flag(flags, flag) and flags - flag or flags end

-- A bucket in which nothing is open any more is dropped after its retention (ms); see expire.lua.
local function schedule_drop(kind, bucket, at) redis.call('ZADD', p .. 'expiry', int(at), kind .. ':' .. bucket) end

-- How long what has ended is kept, in ms: `keep` a record, `keep_body` a body.
local function close_one(d, keep, keep_body)
  if redis.call('HINCRBY', p .. 'd:' .. d.bucket, 'o', -1) <= 0 then schedule_drop('d', d.bucket, now + keep) end
  local bucket = place(d.event)
  if redis.call('HINCRBY', p .. 'e:' .. bucket, 'o', -1) <= 0 then
    -- After its deliveries; expire.lua waits for those that have younger neighbours.
    schedule_drop('e', bucket, now + keep + 86400000)
    schedule_drop('b', bucket, now + keep_body)
  end
end

-- LOOK finds the oldest open delivery from here on.
local function look_from(bucket, first)
  if tonumber(bucket) < tonumber(first or 0) then redis.call('HSET', p .. 'flow', 'fb', bucket) end
end

local function open_one(d)
  redis.call('HINCRBY', p .. 'd:' .. d.bucket, 'o', 1)
  look_from(d.bucket, redis.call('HGET', p .. 'flow', 'fb'))
  redis.call('HINCRBY', p .. 'e:' .. (place(d.event)), 'o', 1)
end

local function count(key, from, to)
  redis.call('HINCRBY', key, from, -1)
  redis.call('HINCRBY', key, to, 1)
end

-- How many are open in the whole shard, by status; save_all (lane.lua) writes what has changed.
local newly_open = {}
local function count_open(status, n)
  if is_open(status) then newly_open[status] = (newly_open[status] or 0) + n end
end

-- The one way in which a status changes: all its counts move with it.
local function set_status(d, status, correlation, keep, keep_body)
  if status == d.status then return end
  local was, is = d.status, status
  d.status = status
  count_open(was, -1)
  count_open(is, 1)
  count(p .. 'c:' .. int(d.app), was, is)
  if d.endpoint > 0 then count(p .. 'c:' .. int(d.endpoint), was, is) end
  if correlation and has_flag(d.flags, FLAG_CORRELATED) then
    count(p .. 'k:' .. int(d.app) .. ':' .. correlation, was, is)
  end
  if is_open(was) and not is_open(is) then
    close_one(d, keep, keep_body)
  elseif is_open(is) and not is_open(was) then
    open_one(d)
  end
end

local function event_of(d)
  local bucket, field = place(d.event)
  return redis.call('HGET', p .. 'e:' .. bucket, field)
end

-- What scripts read of an event record: its app's number `n`, own id `i`, correlation id `c`, lane of its
-- `webhook_url` `l`, `deliver_at` `da`, how many deliveries `k`.
-- Nothing when it is gone, or was not written by us.
local MOST_DELIVERIES = 100001
local function event_in(text)
  local ok, event = pcall(cjson.decode, text or '')
  if not ok or type(event) ~= 'table' or type(event.n) ~= 'number' then return {} end
  return {
    n = event.n,
    i = type(event.i) == 'string' and event.i or nil,
    c = type(event.c) == 'string' and event.c or nil,
    l = type(event.l) == 'string' and event.l or nil,
    da = tonumber(event.da),
    k = math.min(tonumber(event.k) or 1, MOST_DELIVERIES),
  }
end

local function correlation_of(d)
  return has_flag(d.flags, FLAG_CORRELATED) and event_in(event_of(d)).c or nil
end

-- The job that carries generation `g` of a delivery, as ids.ts formats it.
local DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
local function base32(n, width)
  local text = ''
  for _ = 1, width do
    local digit = n % 32
    text = string.sub(DIGITS, digit + 1, digit + 1) .. text
    n = (n - digit) / 32
  end
  return text
end
-- Of an endpoint that came from another shard with its app, the number tells that shard and its number there: ids.ts.
local GUEST, GUESTS_OF_A_SHARD = 2147483648, 2097152
local function id(kind, number)
  local shard = tonumber(string.match(p, '^{sp:(%d+)}'))
  if kind == 'ep' and number >= GUEST then
    local born = number - GUEST
    number = born % GUESTS_OF_A_SHARD
    shard = (born - number) / GUESTS_OF_A_SHARD
  end
  return kind .. '_' .. base32(shard, 2) .. base32(number, 10)
end
local function job_id(number, generation) return id('dlv', number) .. '-' .. int(generation) end

-- A new job for a delivery: the old one, if BullMQ still has it, becomes stale.
local function next_generation(d)
  d.generation = d.generation % 65535 + 1
  d.job_base = d.attempts
end

-- Whoever waits for an event's first attempts (`Prefer: wait`) is told of one.
local function tell_waiter(d)
  if not has_flag(d.flags, FLAG_WAIT) then return end
  local channel = redis.call('GET', p .. 'w:' .. int(d.event))
  if channel then redis.call('PUBLISH', channel, p .. int(d.event)) end
end

-- What operators are told, through the API's relay. Bounded: while no API runs, what is too much is only
-- counted.
local OUTBOX = 100000
local function tell_operators(kind, app, endpoint, entry)
  if redis.call('LLEN', p .. 'outbox') >= OUTBOX then
    redis.call('INCR', p .. 'outbox:lost')
    return
  end
  entry.i = redis.call('HINCRBY', p .. 'flow', 'ob', 1)
  entry.t, entry.a, entry.e, entry.at = kind, app, endpoint, now
  redis.call('RPUSH', p .. 'outbox', cjson.encode(entry))
end
