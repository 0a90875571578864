<?php
require $argv[1];
$asked = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
$values = array_map(function (?string $value) use ($asked): array {
    try {
        return ['opened' => PhiReader\decrypt($value, $asked['keys'])];
    } catch (PhiReader\Unreadable $e) {
        return ['raised' => $e->getMessage()];
    }
}, $asked['values']);
echo json_encode(['values' => $values, 'hashes' => PhiReader\search_hashes($asked['normalized'], $asked['keys'])], JSON_THROW_ON_ERROR);
