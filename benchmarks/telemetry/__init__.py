"""Which engine keeps spans best: DuckDB, DuckDB sealed to Parquet, chDB, SQLite or Lance?"""
