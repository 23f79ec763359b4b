-- BEGIN-REPLAY: makes a replay of an endpoint's deliveries, as there are now.
-- ARGV: 1 app  2 endpoint (owner numbers)  3 what it looks for, JSON  4 when it was asked for, ms epoch
--       5 a name for this request  6 for how long the request is known by it, ms
-- Returns {'begun', replay number}, also when this request has begun it before, or {'running', number of the one that
-- is running}: nothing is done.
-- Keeps: an endpoint has one running replay at most, and a request begins one, however often it is sent.
local request = p .. 'ri:' .. ARGV[5]
local before = redis.call('GET', request)
if before and redis.call('EXISTS', p .. 'rpl:' .. before) == 1 then return { 'begun', before } end

local running = redis.call('HGET', p .. 'replays', ARGV[2])
if running and redis.call('HGET', p .. 'rpl:' .. running, 'state') == 'running' then return { 'running', running } end

local number = int(redis.call('INCR', p .. 'own'))
local index = p .. 'x:' .. ARGV[2]
redis.call('HSET', p .. 'rpl:' .. number, 'app', ARGV[1], 'endpoint', ARGV[2], 'filter', ARGV[3], 'created', ARGV[4],
  'state', 'running', 'newest', redis.call('LINDEX', index, 0) or '0', 'total', redis.call('LLEN', index), 'scanned', '0')
redis.call('HSET', p .. 'replays', ARGV[2], number)
redis.call('SET', request, number, 'PX', ARGV[6])
return { 'begun', number }
