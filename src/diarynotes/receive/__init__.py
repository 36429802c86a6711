"""What others tell of new recordings becomes drops in the inbox: clouds' notifications, and signed messages of our own.

| module | holds |
|---|---|
| `messages` | what comes in, what is made of it, and how a message is refused |
| `names` | which names of objects are recordings, and whose |
| `proof`, `keys` | who may tell us: signatures, keys, tokens |
| `gcs`, `s3`, `azure`, `signed` | one provider's messages each |
| `pubsub`, `sqs`, `pulling` | queues that are asked, for machines that cannot be reached from outside |
| `inbox` | keeps drops first, then tells Prefect |
| `app` | the small web server around all that |
"""
