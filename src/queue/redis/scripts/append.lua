#!lua
-- Judges frames of one partition in order, pushes those that follow to the list of every sink, and records their places.
-- KEYS[1] streams, KEYS[2] meta, KEYS[3…] the lists.
-- ARGV[1] the settings of the node.
-- ARGV[2] streams, each: 32 bytes hex, 16 bytes raw, u8 length, producer.
-- ARGV[3] entries, each 31 bytes: u16 number of the stream from 1, u64 seq, u32 prev, u32 crc, 8 random bytes and u8 kind, u32
-- crc of the element.
-- ARGV[4…] the frames, one for each entry.
-- Returns 13 bytes for each entry: u8 verdict (0 append, 1 duplicate, 2 gap, 3 mismatch, 4 owned by other), u64 seq, u32 crc.
-- No flags: Redis refuses this script, and only this one, when it is out of memory.
local meta = redis.call('HMGET', KEYS[2], 'settings', 'ordinal', 'time')
if meta[1] and meta[1] ~= ARGV[1] then
  return redis.error_reply('MISMATCH ' .. meta[1])
end
local ordinal = tonumber(meta[2] or 0)
local now = redis.call('TIME')
local time = math.max(tonumber(now[1]) * 1000000 + tonumber(now[2]), tonumber(meta[3] or 0))
local timeWords = math.floor(time / 4294967296) + time % 4294967296

local streams = {}
local records = {}
local at = 1
while at <= #ARGV[2] do
  local hex, raw, length
  hex, raw, length, at = struct.unpack('>c32c16B', ARGV[2], at)
  local producer = string.sub(ARGV[2], at, at + length - 1)
  at = at + length
  local record = records[hex]
  if not record then
    local text = redis.call('HGET', KEYS[1], hex)
    if text then
      local seq, crc, owner = string.match(text, '^(%d+) (%d+) %d+ (.*)$')
      if not seq then
        return redis.error_reply('FORMAT ' .. hex)
      end
      record = { seq = tonumber(seq), crc = tonumber(crc), owner = owner }
    else
      record = { seq = 0, crc = 0 }
    end
    records[hex] = record
  end
  streams[#streams + 1] = { record = record, producer = producer, tail = raw .. string.char(length) .. producer }
end

local pushed = {}
local bytes = 0
local results = {}
at = 1
for i = 1, #ARGV - 3 do
  local number, seq, prev, crc, mark, check
  number, seq, prev, crc, mark, check, at = struct.unpack('>HI8I4I4c9I4', ARGV[3], at)
  local stream = streams[number]
  local record = stream.record
  local verdict = 0
  if record.owner and record.owner ~= stream.producer then
    verdict = 4
  elseif seq <= record.seq then
    verdict = 1
  elseif seq > record.seq + 1 then
    verdict = 2
  elseif prev ~= record.crc then
    verdict = 3
  else
    ordinal = ordinal + 1
    check = (check + timeWords + math.floor(ordinal / 4294967296) + ordinal % 4294967296) % 4294967296
    local element = struct.pack('>BI4I8I8', 178, check, time, ordinal) .. mark .. stream.tail .. ARGV[i + 3]
    pushed[#pushed + 1] = element
    bytes = bytes + #element
    record.seq = seq
    record.crc = crc
    record.owner = stream.producer
    record.ordinal = ordinal
  end
  results[i] = struct.pack('>BI8I4', verdict, record.seq, record.crc)
end

if #pushed > 0 then
  for i = 3, #KEYS do
    redis.call('RPUSH', KEYS[i], unpack(pushed))
    redis.call('HINCRBY', KEYS[2], 'bytes:' .. string.match(KEYS[i], ':list:(.*)$'), string.format('%.0f', bytes))
  end
  local changed = {}
  for hex, record in pairs(records) do
    if record.ordinal then
      changed[#changed + 1] = hex
      changed[#changed + 1] = string.format('%.0f %.0f %.0f %s', record.seq, record.crc, record.ordinal, record.owner)
    end
  end
  redis.call('HSET', KEYS[1], unpack(changed))
  redis.call('HSET', KEYS[2], 'settings', ARGV[1], 'ordinal', string.format('%.0f', ordinal), 'time', string.format('%.0f', time))
end
return table.concat(results)
