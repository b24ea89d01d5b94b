"""Where a study is kept: a journal file on one machine, PostgreSQL for several."""
