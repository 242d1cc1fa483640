"""Views at a sample → scene feature, density and colour."""
