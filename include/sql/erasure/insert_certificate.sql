-- Keeps a certificate.
INSERT INTO {table} (certificate_id, issued_at, document, sha256)
VALUES (%(certificate_id)s, %(issued_at)s, %(document)s::jsonb, %(sha256)s)
ON CONFLICT (certificate_id) DO NOTHING
