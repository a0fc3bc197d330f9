"""Tables in a drop folder: CSV, JSON lines, Excel and Parquet files of payments and other batches."""
