<?php
declare(strict_types=1);

require __DIR__ . '/syncline.php';

$syncline = new Syncline(getenv('SYNCLINE_HTTP_URL') ?: 'http://127.0.0.1:9502', getenv('SYNCLINE_TOKEN') ?: '');

try {
    $result = $syncline->send([
        ['table' => 'orders', 'key' => ['id'], 'row' => ['id' => 4711, 'total' => '19.90', 'state' => 'new']],
        ['table' => 'orders', 'op' => 'update', 'key' => ['id' => 4711], 'row' => ['state' => 'paid']],
        ['table' => 'orders', 'op' => 'update', 'key' => ['id' => 9999], 'row' => ['state' => 'paid']],
    ]);
    echo "{$result['applied']} applied\n";
    foreach ($result['rejections'] as ['index' => $index, 'code' => $code]) {
        echo "change $index was refused: $code\n";
    }
} catch (SynclineException $error) {
    fwrite(STDERR, "{$error->status}: {$error->getMessage()}\n");
    exit(1);
}
