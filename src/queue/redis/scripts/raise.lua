#!lua flags=allow-oom
-- Raises the records of streams to floors. The higher place wins; at equal seq the floor's crc wins. Seq 0 only reads.
-- KEYS[1] streams, KEYS[2] meta. ARGV[1] the settings of the node.
-- ARGV[2] floors, each: 32 bytes hex, u64 seq, u32 crc, u8 length, producer.
-- Returns 12 bytes for each floor: u64 seq, u32 crc. Changes nothing when a record names another producer.
local settings = redis.call('HGET', KEYS[2], 'settings')
if settings and settings ~= ARGV[1] then
  return redis.error_reply('MISMATCH ' .. settings)
end
local records = {}
local places = {}
local at = 1
while at <= #ARGV[2] do
  local hex, seq, crc, length
  hex, seq, crc, length, at = struct.unpack('>c32I8I4B', ARGV[2], at)
  local producer = string.sub(ARGV[2], at, at + length - 1)
  at = at + length
  local record = records[hex]
  if not record then
    record = { seq = 0, crc = 0, ordinal = 0 }
    local text = redis.call('HGET', KEYS[1], hex)
    if text then
      local stored, crcThere, ordinal, owner = string.match(text, '^(%d+) (%d+) (%d+) (.*)$')
      if not stored then
        return redis.error_reply('FORMAT ' .. hex)
      end
      record = { seq = tonumber(stored), crc = tonumber(crcThere), ordinal = tonumber(ordinal), owner = owner }
    end
    records[hex] = record
  end
  if record.owner and record.owner ~= producer then
    return redis.error_reply('OWNED ' .. hex)
  end
  if seq > record.seq or (seq == record.seq and crc ~= record.crc) then
    record.seq = seq
    record.crc = crc
    record.owner = producer
    record.changed = true
  end
  places[#places + 1] = struct.pack('>I8I4', record.seq, record.crc)
end
for hex, record in pairs(records) do
  if record.changed then
    redis.call('HSET', KEYS[1], hex, string.format('%.0f %.0f %.0f %s', record.seq, record.crc, record.ordinal, record.owner))
    redis.call('HSETNX', KEYS[2], 'settings', ARGV[1])
  end
end
return table.concat(places)
