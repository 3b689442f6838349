#!lua flags=allow-oom
-- Sets the record of each stream back to its watermark where it is above it and the list holds none of its elements:
-- the list is empty, or its head was pushed after that stream's last push.
-- KEYS[1] list, KEYS[2] lease, KEYS[3] streams. ARGV[1] token, ARGV[2] watermarks, each: 32 bytes hex, u64 seq, u32 crc.
-- Returns the numbers of the watermarks, from 0, whose streams were set back.
local lease = redis.call('GET', KEYS[2])
if not lease or string.sub(lease, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then
  return {}
end
local head = redis.call('LINDEX', KEYS[1], 0)
if head and string.sub(head, 1, 1) ~= string.char(178) then
  -- Another version's, or damaged: nothing is known of it until a slice has looked at it.
  return {}
end
local headOrdinal = head and struct.unpack('>I8', head, 14)
local healed = {}
local at = 1
local number = 0
while at <= #ARGV[2] do
  local hex, seq, crc
  hex, seq, crc, at = struct.unpack('>c32I8I4', ARGV[2], at)
  local text = redis.call('HGET', KEYS[3], hex)
  if text then
    local stored, ordinal, owner = string.match(text, '^(%d+) %d+ (%d+) (.*)$')
    if not stored then
      return redis.error_reply('FORMAT ' .. hex)
    end
    if tonumber(stored) > seq and (not headOrdinal or headOrdinal > tonumber(ordinal)) then
      redis.call('HSET', KEYS[3], hex, string.format('%.0f %.0f %s %s', seq, crc, ordinal, owner))
      healed[#healed + 1] = number
    end
  end
  number = number + 1
end
return healed
