"""The diary as a folder of plain files that any notes app opens, and keeps in step with what a person changes there.

`pages` says what stands in the files, `folder` how they get there; neither knows the store.
"""
