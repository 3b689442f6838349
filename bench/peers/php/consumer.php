<?php
// One BLPOP and one statement in a transaction of its own for each change, as articles about queues in PHP teach it.

$redis = new Redis();
$redis->connect('127.0.0.1', (int) getenv('REDIS_PORT'));
// BLPOP waits for as long as it must.
$redis->setOption(Redis::OPT_READ_TIMEOUT, -1);

$dsn = sprintf('mysql:host=127.0.0.1;port=%d;dbname=%s;charset=utf8mb4', getenv('MARIADB_PORT'), getenv('MARIADB_DATABASE'));
$pdo = new PDO($dsn, 'root', '', [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => false]);
$upsert = $pdo->prepare(
    'INSERT INTO item (id, sku, name, price, stock, changed_at) VALUES (?, ?, ?, ?, ?, ?)
     ON DUPLICATE KEY UPDATE sku = VALUES(sku), name = VALUES(name), price = VALUES(price),
       stock = VALUES(stock), changed_at = VALUES(changed_at)',
);

echo "ready\n";

for ($left = (int) getenv('COUNT'); $left > 0; $left--) {
    [, $change] = $redis->blPop(['changes'], 0);
    $upsert->execute(json_decode($change));
}

echo "done\n";
