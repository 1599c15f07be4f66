-- What is still to be written to the disk.
CHECKPOINT;
