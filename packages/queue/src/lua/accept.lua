-- ACCEPT: stores an event once and a record for each of its deliveries, all or nothing.
-- ARGV: 1 app (owner number)  2 version of the app's config that the deliveries were matched with
--       3 event number        4 event record  5 body  6 own id or ''  7 correlation id or ''
--       8 channel to tell of first attempts, or ''
--       9 retention of records, ms   10 retention of bodies, ms
--       11 how far the correlation has been counted in a shard that the app has left, or 0
--       12 … the deliveries' records, in order of their numbers, which begin at the event's
-- Returns {'stale'} when the config is newer (nothing is written; match again),
--         {'duplicate', number} when the own id is known,
--         {'accepted', sequence or 0, for each delivery '1' if it was admitted and needs a job, else '0'},
--         {'taken'} when a number is somebody else's (Redis lost what it had given out): take others.
-- Each open delivery is admitted, or waits in its lane (lane.lua), or until it is due.
-- Keeps: an event is stored with all its deliveries or not at all, and never matched against old endpoints. The
-- first write is an HSET, so a Redis that is full refuses it before anything is written.
local app, number = ARGV[1], tonumber(ARGV[3])
local bucket, field = place(number)
local present = redis.call('HMGET', p .. 'e:' .. bucket, field, field .. 's')
if present[1] == ARGV[4] then -- sent again
  local admitted = {}
  for i = 12, #ARGV do
    local d = read(number + i - 12)
    admitted[#admitted + 1] = d and d.attempts == 0 and has_flag(d.flags, FLAG_ADMITTED) and '1' or '0'
  end
  return { 'accepted', tonumber(present[2] or 0), table.concat(admitted) }
end
if present[1] then return { 'taken' } end
if redis.call('HGET', p .. 'cfg:' .. app, 'v') ~= ARGV[2] then return { 'stale' } end
local own, correlation = ARGV[6], ARGV[7]
if own ~= '' then
  local known = redis.call('HGET', p .. 'u:' .. app, own)
  if known then return { 'duplicate', known } end
end

-- One command a bucket and an index, however wide the fan-out.
local fields_of = {}
for i = 12, #ARGV do
  local b, f = place(number + i - 12)
  fields_of[b] = fields_of[b] or {}
  fields_of[b][#fields_of[b] + 1] = f
end
for b, fields in pairs(fields_of) do
  for _, record in pairs(redis.call('HMGET', p .. 'd:' .. b, unpack(fields))) do
    if record then return { 'taken' } end
  end
end

redis.call('HSET', p .. 'b:' .. bucket, field, ARGV[5])
local sequence = 0
if correlation ~= '' then
  if ARGV[11] ~= '0' then redis.call('HSETNX', p .. 'k:' .. app .. ':' .. correlation, 'seq', ARGV[11]) end
  sequence = redis.call('HINCRBY', p .. 'k:' .. app .. ':' .. correlation, 'seq', 1)
  redis.call('HINCRBY', p .. 'k:' .. app .. ':' .. correlation, 'kept', 1)
  redis.call('HSET', p .. 'e:' .. bucket, field, ARGV[4], field .. 's', sequence)
else
  redis.call('HSET', p .. 'e:' .. bucket, field, ARGV[4])
end
if own ~= '' then redis.call('HSET', p .. 'u:' .. app, own, ARGV[3]) end
if ARGV[8] ~= '' then redis.call('SET', p .. 'w:' .. ARGV[3], ARGV[8], 'EX', 60) end

-- Gives an open delivery its place. One lane at a time is kept in memory: an event may have 100,000.
local function open_delivery(n, record, endpoint)
  local created, due = struct.unpack('>I6I6', record, 25)
  local d = { number = n, flags = string.byte(record, 2), due = due, app = tonumber(app), endpoint = endpoint }
  local lane = lane_of(lane_name(d, ARGV[4]))
  local admitted = false
  if due > created and due > now then -- deliver_at; our clock and the API's may differ
    put_scheduled(d, lane)
    ready(lane)
  else
    admitted = enter(d, lane, 'q')
  end
  save(lane)
  return string.sub(record, 1, 1) .. string.char(d.flags) .. string.sub(record, 3), admitted
end

local records, opened, indexed, admitted, by_status = {}, {}, {}, {}, {}
local open = 0
for i = 12, #ARGV do
  local n, record = number + i - 12, ARGV[i]
  local b, f = place(n)
  local status = string.byte(record, 1)
  local endpoint = struct.unpack('>I4', record, 21)
  by_status[status] = (by_status[status] or 0) + 1
  indexed[#indexed + 1] = int(n)
  admitted[#admitted + 1] = '0'
  if endpoint > 0 then
    redis.call('LPUSH', p .. 'x:' .. endpoint, int(n))
    redis.call('HINCRBY', p .. 'c:' .. endpoint, status, 1)
  end
  if is_open(status) then
    count_open(status, 1)
    open = open + 1
    opened[b] = (opened[b] or 0) + 1
    local runs
    record, runs = open_delivery(n, record, endpoint)
    if runs then admitted[#admitted] = '1' end
  end
  records[b] = records[b] or {}
  records[b][#records[b] + 1] = f
  records[b][#records[b] + 1] = record
end
save_all()
local first_open = math.huge
for b, fields in pairs(records) do
  redis.call('HSET', p .. 'd:' .. b, unpack(fields))
  if opened[b] then
    redis.call('HINCRBY', p .. 'd:' .. b, 'o', opened[b])
    first_open = math.min(first_open, tonumber(b))
  elseif tonumber(redis.call('HGET', p .. 'd:' .. b, 'o') or 0) <= 0 then
    schedule_drop('d', b, now + ARGV[9])
  end
end
if open > 0 then look_from(int(first_open), shard_flow().first) end
for status, n in pairs(by_status) do
  redis.call('HINCRBY', p .. 'c:' .. app, status, n)
  if correlation ~= '' then redis.call('HINCRBY', p .. 'k:' .. app .. ':' .. correlation, status, n) end
end
for from = 1, #indexed, 5000 do
  local to = math.min(from + 4999, #indexed)
  redis.call('LPUSH', p .. 'x:' .. app, unpack(indexed, from, to))
  if correlation ~= '' then redis.call('LPUSH', p .. 'kx:' .. app .. ':' .. correlation, unpack(indexed, from, to)) end
end
if redis.call('HINCRBY', p .. 'e:' .. bucket, 'o', open) == 0 then
  schedule_drop('e', bucket, now + ARGV[9] + 86400000)
  schedule_drop('b', bucket, now + ARGV[10])
end
return { 'accepted', sequence, table.concat(admitted) }
