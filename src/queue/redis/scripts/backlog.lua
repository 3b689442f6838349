#!lua flags=no-writes
-- KEYS[1] list, KEYS[2] meta. Returns the length of the list, its bytes, and as much of its head as its check covers (empty
-- when there is none): of a frame at most 302 bytes, of a refusal all.
local head = redis.call('LINDEX', KEYS[1], 0)
local bytes = redis.call('HGET', KEYS[2], 'bytes:' .. string.match(KEYS[1], ':list:(.*)$'))
if head and string.sub(head, 30, 30) == string.char(0) then
  head = string.sub(head, 1, 302)
end
return { redis.call('LLEN', KEYS[1]), tonumber(bytes or 0), head or '' }
