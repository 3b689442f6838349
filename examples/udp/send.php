<?php
// One reading as a datagram, with nothing but PHP itself: php send.php [HOST [PORT]]
declare(strict_types=1);

/** msgpack of null, booleans, integers, floats, strings, lists and maps. */
function pack_value(mixed $value): string
{
    if ($value === null) return "\xc0";
    if (is_bool($value)) return $value ? "\xc3" : "\xc2";
    if (is_int($value)) return $value >= 0 && $value < 128 ? chr($value) : "\xd3" . pack('J', $value);
    if (is_float($value)) return "\xcb" . pack('E', $value);
    if (is_string($value)) {
        $length = strlen($value);
        return ($length < 32 ? chr(0xa0 | $length) : ($length < 256 ? "\xd9" . chr($length) : "\xda" . pack('n', $length))) . $value;
    }
    $isList = array_is_list($value);
    $packed = $isList ? "\xdc" . pack('n', count($value)) : "\xde" . pack('n', count($value));
    foreach ($value as $key => $item) $packed .= ($isList ? '' : pack_value((string) $key)) . pack_value($item);
    return $packed;
}

/** Rows of one table; of each, the first $keyCount columns are the key. Operations: 0 upsert, 1 insert, 2 update, 3 delete. */
function datagram(string $token, string $table, int $keyCount, array $columns, array $rows, int $op = 0): string
{
    // "k" must come first, and the map must be a short one.
    $payload = "\x82" . pack_value('k') . pack_value($token) . pack_value('c') . pack_value([[$table, $op, $keyCount, $columns, $rows]]);
    // Type 3 (BATCH); flags, partition, seq and prev are 0.
    $head = "\x03\x00" . pack('n', 0) . pack('J', 0) . pack('N', 0);
    return pack('N', 20 + strlen($payload)) . $head . pack('N', crc32($head . $payload)) . $payload;
}

if (realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    [$host, $port] = [$argv[1] ?? '127.0.0.1', $argv[2] ?? '9503'];
    $bytes = datagram((string) getenv('SYNCLINE_TOKEN'), 'readings', 1, ['sensor', 'celsius'], [['door-2', 21.5]]);
    $socket = stream_socket_client("udp://$host:$port");
    fwrite($socket, $bytes);
}
