"""S3: the object store, where everything lies in it, and the done-files that say what is finished."""
