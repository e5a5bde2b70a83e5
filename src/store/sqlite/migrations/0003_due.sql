-- What budgets are charged with where a cost is not known: the part of it that is. In sums it is
-- due_micro_usd + due_rest_pico_usd / 1000000 millionths of a USD, beside the cost and not in it.
ALTER TABLE weir_requests ADD COLUMN due_pico_usd INTEGER;
ALTER TABLE weir_usage ADD COLUMN due_micro_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE weir_usage ADD COLUMN due_rest_pico_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE weir_usage_days ADD COLUMN due_micro_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE weir_usage_days ADD COLUMN due_rest_pico_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE weir_usage_tags ADD COLUMN due_micro_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE weir_usage_tags ADD COLUMN due_rest_pico_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE weir_usage_tag_days ADD COLUMN due_micro_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE weir_usage_tag_days ADD COLUMN due_rest_pico_usd INTEGER NOT NULL DEFAULT 0;
