-- RETRY: one more run of an ended delivery, asked for by hand: attempts go on counting, the retry budget begins anew.
-- ARGV: 1 delivery number  2 app (owner number)
-- Returns {'retry', generation before, tickets …}: with no ticket it waits in its lane;
--         {'open'}: it is under way already, {'running'}: ended, but an attempt of it has not,
--         {'expired'}: the body is gone, {'deleted'}: app or endpoint is,
--         {'exhausted'}: as many attempts as can be counted, {'missing'}.
-- Keeps: an open delivery is never given a second job.
local d = read(ARGV[1])
if not d or int(d.app) ~= ARGV[2] then return { 'missing' } end
if is_open(d.status) then return { 'open' } end
local obstacle = cannot_reopen(d)
if obstacle then return { obstacle } end
local before = d.generation
local lane = lane_of(lane_name(d))
leave(d, lane) -- an attempt from Bull Board whose worker died, and whose time is over
reopen_delivery(d)
local admitted = enter(d, lane, 'r')
write(d)
save_all()
return { 'retry', before, unpack(tickets(admitted and { d } or {})) }
