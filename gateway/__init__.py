"""The public REST surface: it translates and composes, holds no data and decides no access by itself."""
