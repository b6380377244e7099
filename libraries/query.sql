-- name: Add :exec
INSERT INTO items (name) VALUES (?);

-- name: Count :one
SELECT COUNT(*) FROM items;

-- name: Names :many
SELECT name FROM items ORDER BY id;
