#!lua flags=no-writes
-- KEYS list and meta of one partition after the other. Returns for each: the length of the list, its bytes, and as much of
-- its head as its check covers (empty when there is none): of a frame at most 302 bytes, of a refusal all.
local found = {}
for i = 1, #KEYS, 2 do
  local head = redis.call('LINDEX', KEYS[i], 0)
  local bytes = redis.call('HGET', KEYS[i + 1], 'bytes:' .. string.match(KEYS[i], ':list:(.*)$'))
  if head and string.sub(head, 30, 30) == string.char(0) then
    head = string.sub(head, 1, 302)
  end
  found[#found + 1] = redis.call('LLEN', KEYS[i])
  found[#found + 1] = tonumber(bytes or 0) or 0
  found[#found + 1] = head or ''
end
return found
