-- REPLAY: sends a stretch of an endpoint's ended deliveries again, and moves the replay that found them on.
-- ARGV: 1 replay number  2 entries of the index scanned before this stretch  3 and after it
--       4 the last one's delivery number  5 how many entries lie before and at it, from the oldest
--       6 '1' when it was the last stretch  7 retention of the replay's record, ms
--       8 the statuses wanted, a digit each  9 … the numbers of the deliveries to send again
-- Returns 'stale' when the replay stands elsewhere or has ended (nothing is done), 'running', 'completed', 'failed'.
-- Keeps: a stretch is done once, however many workers come with it: it moves the replay on in the same step. What has
-- changed since it was read is looked at again, so no open delivery gets a second place. Attempts go on counting, the
-- retry budget begins anew; what has a `deliver_at` to come waits for it. Nothing is sent to an endpoint that has been deleted, which fails the replay.
local key = p .. 'rpl:' .. ARGV[1]
local replay = redis.call('HMGET', key, 'state', 'scanned', 'app', 'endpoint')
if replay[1] ~= 'running' or replay[2] ~= ARGV[2] then return 'stale' end
local app, endpoint = tonumber(replay[3]), tonumber(replay[4])

local function finish(state)
  redis.call('HSET', key, 'state', state, 'ended', int(now))
  redis.call('PEXPIRE', key, ARGV[7])
  if redis.call('HGET', p .. 'replays', int(endpoint)) == ARGV[1] then
    redis.call('HDEL', p .. 'replays', int(endpoint))
  end
  return state
end

if redis.call('HEXISTS', p .. 'cfg:' .. int(app), id('ep', endpoint)) == 0 then
  redis.call('HSET', key, 'failure', 'endpoint_deleted')
  return finish('failed')
end

local counts = { replayed = 0, unavailable = 0, refused = 0 }
local lane = lane_of(int(endpoint))

local function is_wanted(d)
  return d and d.app == app and d.endpoint == endpoint and not is_open(d.status)
    and string.find(ARGV[8], int(d.status), 1, true)
end

-- What became of it, as it is counted.
local function send_again(d)
  local obstacle = cannot_reopen(d)
  if obstacle then return obstacle == 'expired' and 'unavailable' or 'refused' end
  leave(d, lane) -- an attempt from Bull Board whose worker died, and whose time is over
  reopen_delivery(d)
  local deliver_at = event_in(event_of(d)).da
  if deliver_at and deliver_at > now then
    d.due = deliver_at
    put_scheduled(d, lane)
  else
    put_waiting(d, lane, 'y')
  end
  write(d)
  return 'replayed'
end

for i = 9, #ARGV do
  local d = read(ARGV[i])
  if is_wanted(d) then
    local became = send_again(d)
    counts[became] = counts[became] + 1
  end
end
ready(lane)
save_all()
for name, n in pairs(counts) do
  if n > 0 then redis.call('HINCRBY', key, name, n) end
end
redis.call('HSET', key, 'scanned', ARGV[3], 'last', ARGV[4], 'depth', ARGV[5])
return ARGV[6] == '1' and finish('completed') or 'running'
