DROP VIEW pipeline;
