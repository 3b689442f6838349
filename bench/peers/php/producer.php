<?php
// One RPUSH for each change, as articles about queues in PHP teach it.

$lines = file(getenv('CHANGES'), FILE_IGNORE_NEW_LINES);
$changes = array_map(fn ($line) => json_decode($line), $lines);

$redis = new Redis();
$redis->connect('127.0.0.1', (int) getenv('REDIS_PORT'));

echo "ready\n";
fgets(STDIN);

foreach ($changes as $change) {
    $redis->rPush('changes', json_encode($change));
}

echo "done\n";
