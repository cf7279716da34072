<?php
// PHP in its best shape: a persistent PDO connection for each child, opcache, one round trip for a page and one for a
// row (PDO forgets named statements at the end of a request, so a statement prepared by name would cost a second one).
// measure/contestants.py sets PEER_DSN, PEER_USER and PEER_PAGE.

$options = [
    PDO::ATTR_PERSISTENT => true,
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    PDO::ATTR_TIMEOUT => 5,
];
$db = new PDO($_SERVER['PEER_DSN'], $_SERVER['PEER_USER'], null, $options);
$postgresql = $db->getAttribute(PDO::ATTR_DRIVER_NAME) === 'pgsql';

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $stuff = $_POST['stuff'] ?? '';
    $things = $_POST['things'] ?? '';
    if (trim($stuff) === '' || trim($things) === '' || mb_strlen_utf8($stuff) > 255) {
        http_response_code(422);
        exit('not saved');
    }
    $sql = 'INSERT INTO added (stuff, things) VALUES (?, ?)';
    $insert = $postgresql
        ? $db->prepare("$sql RETURNING id", [PDO::PGSQL_ATTR_DISABLE_PREPARES => true])
        : $db->prepare($sql);
    $insert->execute([$stuff, $things]);
    $id = $postgresql ? $insert->fetchColumn() : $db->lastInsertId();
    header("Location: ./?saved=$id", true, 303);
    exit;
}

header('Content-Type: text/html; charset=utf-8');
$rows = array_slice(
    $db->query('SELECT id, stuff, things FROM stuff ORDER BY id DESC LIMIT 21')->fetchAll(PDO::FETCH_OBJ),
    0,
    20
);
ob_start();
require $_SERVER['PEER_PAGE'];
header('Content-Length: ' . ob_get_length());

// mbstring is an extension of its own
function mb_strlen_utf8(string $text): int
{
    return preg_match_all('/./us', $text);
}
