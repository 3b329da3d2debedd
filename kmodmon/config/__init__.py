"""Settings: their declarations, values, the settings file, and typed readers of TOML and YAML documents."""
