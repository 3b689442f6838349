#!lua flags=no-writes
-- The first elements of a list, until `ARGV[1]` elements or `ARGV[2]` bytes are reached, with frames that are kept apart (kind 2).
-- KEYS[1] list. Reads at most 16 elements at a time, fewer when they are large, so that no reply is built and thrown away.
local limit = tonumber(ARGV[1])
local wanted = tonumber(ARGV[2])
local elements = {}
local bytes = 0
local largest = wanted
repeat
  local count = math.max(1, math.min(16, limit - #elements, math.floor((wanted - bytes) / math.max(largest, 1))))
  local first = #elements
  local chunk = redis.call('LRANGE', KEYS[1], first, first + count - 1)
  if first == 0 then
    largest = 1
  end
  for i = 1, #chunk do
    if #elements > 0 and bytes >= wanted then
      break
    end
    local length = #chunk[i]
    if length > 54 and string.sub(chunk[i], 30, 30) == string.char(2) then
      length = length + struct.unpack('>I4', chunk[i], length - 3)
    end
    elements[#elements + 1] = chunk[i]
    bytes = bytes + length
    largest = math.max(largest, length)
  end
until #chunk < count or #elements >= limit or bytes >= wanted
return elements
