DROP TRIGGER touch_updated_at ON opportunities;
DROP TRIGGER touch_updated_at ON partners;
DROP TRIGGER touch_updated_at ON users;
DROP TRIGGER touch_updated_at ON organizations;
DROP FUNCTION touch_updated_at();
