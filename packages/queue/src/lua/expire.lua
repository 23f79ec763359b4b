-- EXPIRE: drops buckets in which nothing has been open for the retention, and what points into them.
-- ARGV: 1 how many buckets at most
-- Returns how many were looked at.
-- Keeps: a bucket with an open delivery is never dropped (`o` counts them; closing the last one schedules the drop),
-- and counts by status speak only of records that exist.
local due = redis.call('ZRANGEBYSCORE', p .. 'expiry', '-inf', int(now), 'LIMIT', 0, tonumber(ARGV[1]))

-- Lists are nearly in order of age: what is gone stands at the end, or is passed over until it does.
local function trim(list)
  for _ = 1, BUCKET * 2 do
    local last = redis.call('LINDEX', list, -1)
    if not last then return false end
    local bucket, field = place(tonumber(last))
    if redis.call('HEXISTS', p .. 'd:' .. bucket, field) == 1 then return true end
    redis.call('RPOP', list)
  end
  return true
end

local function drop_deliveries(bucket)
  local owners = {}
  local fields = redis.call('HGETALL', p .. 'd:' .. bucket)
  for i = 1, #fields, 2 do
    local bytes = fields[i + 1]
    if fields[i] ~= 'o' and #bytes == RECORD_BYTES then
      local status = string.byte(bytes, 1)
      local app, endpoint = struct.unpack('>I4I4', bytes, 17)
      for _, owner in ipairs({ app, endpoint }) do
        if owner > 0 then
          redis.call('HINCRBY', p .. 'c:' .. int(owner), status, -1)
          owners[int(owner)] = true
        end
      end
      if has_flag(string.byte(bytes, 2), FLAG_CORRELATED) then
        local event_bucket, event_field = place((struct.unpack('>I6', bytes, 11)))
        local event = event_in(redis.call('HGET', p .. 'e:' .. event_bucket, event_field))
        if event.c then redis.call('HINCRBY', p .. 'k:' .. int(event.n) .. ':' .. event.c, status, -1) end
      end
    end
  end
  redis.call('UNLINK', p .. 'd:' .. bucket, p .. 't:' .. bucket)
  for owner in pairs(owners) do
    if not trim(p .. 'x:' .. owner) then redis.call('DEL', p .. 'c:' .. owner) end
  end
end

-- Whether a delivery of an event in this bucket is still kept: it may lie in a later bucket, with younger neighbours.
local function has_deliveries(events)
  local seen = {}
  for number, event in pairs(events) do
    for n = number, number + math.max(1, event.k or 1) - 1, BUCKET do seen[(place(n))] = true end
    seen[(place(number + math.max(1, event.k or 1) - 1))] = true
  end
  for bucket in pairs(seen) do
    if redis.call('EXISTS', p .. 'd:' .. bucket) == 1 then return true end
  end
  return false
end

local function drop_events(bucket)
  local events = {}
  local fields = redis.call('HGETALL', p .. 'e:' .. bucket)
  for i = 1, #fields, 2 do
    if string.match(fields[i], '^%d+$') then
      events[tonumber(bucket) * BUCKET + tonumber(fields[i])] = event_in(fields[i + 1])
    end
  end
  if has_deliveries(events) then
    schedule_drop('e', bucket, now + 86400000)
    return false
  end
  for _, event in pairs(events) do
    if event.i then redis.call('HDEL', p .. 'u:' .. int(event.n), event.i) end
    if event.c then
      -- A correlation lives, and counts on, as long as any of its events.
      local name = int(event.n) .. ':' .. event.c
      if redis.call('HINCRBY', p .. 'k:' .. name, 'kept', -1) <= 0 then
        redis.call('DEL', p .. 'k:' .. name, p .. 'kx:' .. name)
      else
        trim(p .. 'kx:' .. name)
      end
    end
  end
  redis.call('UNLINK', p .. 'e:' .. bucket)
  return true
end

for _, member in ipairs(due) do
  local kind, bucket = string.match(member, '^(%a):(%d+)$')
  local open = redis.call('HGET', p .. (kind == 'd' and 'd:' or 'e:') .. bucket, 'o')
  local done = true
  if tonumber(open or 0) <= 0 then
    if kind == 'd' then
      drop_deliveries(bucket)
    elseif kind == 'e' then
      done = drop_events(bucket)
    else
      redis.call('UNLINK', p .. 'b:' .. bucket)
    end
  end
  if done then redis.call('ZREM', p .. 'expiry', member) end
end
return #due
