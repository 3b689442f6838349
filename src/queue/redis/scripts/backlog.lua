#!lua flags=no-writes
-- KEYS[1] list, KEYS[2] meta. Returns the length of the list, its bytes, and bytes 0 to 17 of its head (empty when there is none).
local head = redis.call('LINDEX', KEYS[1], 0)
local bytes = redis.call('HGET', KEYS[2], 'bytes:' .. string.match(KEYS[1], ':list:(.*)$'))
return { redis.call('LLEN', KEYS[1]), tonumber(bytes or 0), head and string.sub(head, 1, 18) or '' }
