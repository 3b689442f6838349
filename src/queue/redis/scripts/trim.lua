#!lua flags=allow-oom
-- Removes the first elements of a list if the lease is held and the last of them is the one that was read; then sets
-- back the records of streams that left a gap.
-- KEYS[1] list, KEYS[2] lease, KEYS[3] streams, KEYS[4] meta, KEYS[5…] where large frames of what is removed are kept.
-- ARGV[1] token, ARGV[2] count, ARGV[3] identity of element count − 1, ARGV[4] resets, each: 32 bytes hex, u64 seq, u32 crc,
-- ARGV[5] for each of KEYS[5…] the 8 random bytes of its elements.
-- Returns 1, or 0 having done nothing.
local lease = redis.call('GET', KEYS[2])
if not lease or string.sub(lease, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then
  return 0
end
local count = tonumber(ARGV[2])
local last = redis.call('LINDEX', KEYS[1], count - 1)
if not last or string.sub(last, 6, 29) ~= ARGV[3] then
  return 0
end
-- Nothing is written before all is read: a record that another version wrote stops the partition.
local changes = {}
local at = 1
while at <= #ARGV[4] do
  local hex, seq, crc
  hex, seq, crc, at = struct.unpack('>c32I8I4', ARGV[4], at)
  local text = redis.call('HGET', KEYS[3], hex)
  if text then
    local stored, rest = string.match(text, '^(%d+) %d+ (%d+ .*)$')
    if not stored then
      return redis.error_reply('FORMAT ' .. hex)
    end
    if tonumber(stored) >= seq then
      changes[#changes + 1] = { hex, string.format('%.0f %.0f %s', seq, crc, rest) }
    end
  end
end
local before = redis.call('LLEN', KEYS[1])
if #KEYS > 4 then
  -- Elements of one append lie together, and so do their large frames: those of the new head may still be needed.
  local head = redis.call('LINDEX', KEYS[1], count)
  local needed = head and string.sub(head, 22, 29)
  for i = 5, #KEYS do
    if string.sub(ARGV[5], i * 8 - 39, i * 8 - 32) ~= needed then
      redis.call('DEL', KEYS[i])
    end
  end
end
redis.call('LTRIM', KEYS[1], count, -1)
-- In proportion: the sizes of what goes are not read, because that would copy up to 8 MB. Exact again whenever the list is empty.
local field = 'bytes:' .. string.match(KEYS[1], ':list:(.*)$')
local bytes = tonumber(redis.call('HGET', KEYS[4], field) or 0)
redis.call('HSET', KEYS[4], field, string.format('%.0f', math.floor(bytes * (before - count) / before)))
for _, change in ipairs(changes) do
  redis.call('HSET', KEYS[3], change[1], change[2])
end
return 1
